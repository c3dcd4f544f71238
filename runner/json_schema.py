"""The configuration as a JSON Schema, for editors that complete and check YAML.

python -m runner.json_schema > schema.json
"""

import json
from typing import Any

from runner.config.schema import Config


def json_schema() -> dict[str, Any]:
    """The JSON Schema of config.yaml and of experiments, which may leave any key out."""

    def loosened(node: Any) -> Any:
        if isinstance(node, dict):
            # A key called "required" would be a setting; here it is always JSON Schema's list.
            return {k: loosened(v) for k, v in node.items() if k != "required"}
        return [loosened(item) for item in node] if isinstance(node, list) else node

    schema: dict[str, Any] = loosened(Config.model_json_schema())
    schema["properties"]["defaults"] = {"type": "array", "description": "Hydra's defaults list."}
    return schema


if __name__ == "__main__":
    print(json.dumps(json_schema(), indent=2, ensure_ascii=False))
