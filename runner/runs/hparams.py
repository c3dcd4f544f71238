"""What TensorBoard's HParams tab shows of the runs below a folder: what varies, and how well they do.

Without such a summary the tab has a column for every setting, and selects the first metrics by the alphabet.
It takes the summary of the outermost folder, so that one names what varies in any of them.
"""

from collections.abc import Iterable, Mapping, Sequence
from io import BytesIO
from pathlib import Path

from runner.runs.files import write_atomically

NAME = "events.out.tfevents.0.hparams"  # replaced as a whole


def add_varying(
    folder: Path, settings: Mapping[str, Iterable[object]], metrics: Sequence[str]
) -> None:
    """Adds settings that vary, with their values, to the summary of a folder.

    Args:
        folder: outputs, or outputs/<name>.
        settings: By dotted key.
        metrics: What is selected at first.
    """
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
    from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2
    from tensorboard.summary.writer.record_writer import RecordWriter

    types = _known(folder / NAME)
    for key, values in settings.items():
        found = (
            api_pb2.DATA_TYPE_FLOAT64 if all(map(_is_number, values)) else api_pb2.DATA_TYPE_STRING
        )
        types[key] = found if types.get(key, found) == found else api_pb2.DATA_TYPE_STRING
    experiment = api_pb2.Experiment(
        hparam_infos=[
            api_pb2.HParamInfo(
                name=key, display_name=key.removesuffix(".name"), type=kind, differs=True
            )
            for key, kind in types.items()
        ],
        metric_infos=[
            api_pb2.MetricInfo(name=api_pb2.MetricName(tag=tag), display_name=tag)
            for tag in metrics
        ],
    )
    content = plugin_data_pb2.HParamsPluginData(
        experiment=experiment, version=metadata.PLUGIN_DATA_VERSION
    )
    data = SummaryMetadata.PluginData(
        plugin_name=metadata.PLUGIN_NAME, content=content.SerializeToString()
    )
    value = Summary.Value(tag=metadata.EXPERIMENT_TAG, metadata=SummaryMetadata(plugin_data=data))
    buffer = BytesIO()
    writer = RecordWriter(buffer)
    for event in (Event(file_version="brain.Event:2"), Event(summary=Summary(value=[value]))):
        writer.write(event.SerializeToString())
    write_atomically(folder / NAME, buffer.getvalue())


def _known(path: Path) -> dict[str, int]:
    """The settings of an earlier summary with their types; none where it is damaged."""
    from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.plugins.hparams import metadata

    if not path.is_file():
        return {}
    found: dict[str, int] = {}
    try:
        for data in RawEventFileLoader(str(path)).Load():
            for value in Event.FromString(data).summary.value:
                content = value.metadata.plugin_data.content
                infos = metadata.parse_experiment_plugin_data(content).hparam_infos
                found |= {info.name: info.type for info in infos}
    except Exception:  # whatever TensorBoard finds in it
        return {}
    return found


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
