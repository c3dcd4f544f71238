from rich.text import Text

from runner.evidence import Evidence
from runner.terminal import out
from runner.verdicts import explained, judge


def tell(evidence: Evidence) -> None:
    for v in judge(evidence):
        out.print(Text(f"{v.verdict}: {v.claim.says} {explained(v)} {v.advice}"))
