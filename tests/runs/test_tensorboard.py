"""What TensorBoard shows, read back from the event files with TensorBoard's own reader."""

import signal
from pathlib import Path

import pytest
import torch
from conftest import Command
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.hparams import api_pb2, plugin_data_pb2

from runner.interrupts import Interrupted
from runner.runs.folder import RunFolder
from runner.runs.hparams import NAME
from runner.runs.writer import RunRecord

TINY = ["data.train_size=64", "trainer.progress=false", "epochs=3"]


def events(root: Path) -> tuple[RunFolder, EventAccumulator]:
    (path,) = (p.parent for p in root.glob("outputs/*/*/status.json"))
    accumulator = EventAccumulator(str(path), size_guidance={"scalars": 0, "histograms": 0})
    accumulator.Reload()
    return RunFolder(path), accumulator


def session(accumulator: EventAccumulator, tag: str) -> plugin_data_pb2.HParamsPluginData:
    content = accumulator.SummaryMetadata(tag).plugin_data.content
    return plugin_data_pb2.HParamsPluginData.FromString(content)


def test_curves_agree_with_the_files(command: Command, tmp_path: Path) -> None:
    command(*TINY)
    folder, accumulator = events(tmp_path)
    epochs = folder.metrics()
    for name in ("train/loss", "train/accuracy", "val/loss", "val/accuracy"):
        curve = accumulator.Scalars(name)
        assert [point.step for point in curve] == [0, 1, 2, 3]
        assert [point.value for point in curve] == pytest.approx([e[name] for e in epochs])
    result = folder.result
    assert result is not None
    for name in ("test/loss", "test/accuracy", "test/error"):
        (point,) = accumulator.Scalars(name)
        assert (point.step, point.value) == (3, pytest.approx(result[name]))
    assert "hp_metric" not in accumulator.Tags()["scalars"]


def test_train_and_validation_share_a_chart(command: Command, tmp_path: Path) -> None:
    command(*TINY)
    _, accumulator = events(tmp_path)
    (tag,) = accumulator.PluginTagToContent("custom_scalars")
    (event,) = accumulator.Tensors(tag)
    layout = layout_pb2.Layout.FromString(event.tensor_proto.string_val[0])
    charts = {chart.title: list(chart.multiline.tag) for chart in layout.category[0].chart}
    assert charts == {
        "loss": ["train/loss", "val/loss"],
        "accuracy": ["train/accuracy", "val/accuracy"],
    }


def test_settings_stand_in_hparams_and_text(command: Command, tmp_path: Path) -> None:
    command("optimizer=momentum", "optimizer.lr=0.02", *TINY)
    _, accumulator = events(tmp_path)
    start = session(accumulator, "_hparams_/session_start_info").session_start_info
    assert start.hparams["optimizer.name"].string_value == "momentum"
    assert start.hparams["optimizer.lr"].number_value == 0.02
    assert start.hparams["regularizer.batch_norm"].bool_value is False
    assert not any(key.startswith("trainer.") for key in start.hparams)
    assert session(accumulator, "_hparams_/session_end_info").HasField("session_end_info")
    (text,) = accumulator.Tensors("config/text_summary")
    assert "optimizer: {name: momentum, lr: 0.02, momentum: 0.9}" in str(text.tensor_proto)


def test_diagnostics_write_statistics_and_histograms(command: Command, tmp_path: Path) -> None:
    command("diagnostics=layers", "architecture.hidden=[5]", *TINY)
    folder, accumulator = events(tmp_path)
    scalars, histograms = accumulator.Tags()["scalars"], accumulator.Tags()["histograms"]
    for layer in (1, 2):
        for name in ("preactivation_std", "saturation", "gradient_std", "update_ratio"):
            assert f"{name}/{layer}" in scalars
            assert f"{name}/{layer}" in folder.metrics()[-1]
        for name in ("weight", "preactivation", "activation", "gradient"):
            assert [h.step for h in accumulator.Histograms(f"{name}/{layer}")] == [0, 1, 2, 3]
            assert f"{name}/{layer}" in histograms
    assert "update_ratio/1" not in folder.metrics()[0]


def test_a_resumed_run_has_every_epoch_once(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_checkpoint = RunRecord.add_checkpoint

    def killed(record: RunRecord, state: dict[str, object], accuracy: float) -> None:
        if state["epoch"] == 2:  # its curves are written, its checkpoint is not
            raise Interrupted(signal.SIGTERM)
        add_checkpoint(record, state, accuracy)

    monkeypatch.setattr(RunRecord, "add_checkpoint", killed)
    assert command(*TINY).code == 143
    monkeypatch.setattr(RunRecord, "add_checkpoint", add_checkpoint)
    assert command(*TINY).code == 0
    folder, accumulator = events(tmp_path)
    assert [point.step for point in accumulator.Scalars("val/loss")] == [0, 1, 2, 3]
    assert [line["epoch"] for line in folder.metrics()] == [0, 1, 2, 3]
    assert torch.tensor([p.value for p in accumulator.Scalars("val/loss")]).isfinite().all()


def test_what_is_measured_inside_epochs_stands_at_its_step(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [*TINY, "batch_size.size=16", "evaluate_every=3"]  # 4 steps in an epoch
    add_checkpoint = RunRecord.add_checkpoint

    def killed(record: RunRecord, state: dict[str, object], accuracy: float) -> None:
        if state["epoch"] == 2:
            raise Interrupted(signal.SIGTERM)
        add_checkpoint(record, state, accuracy)

    monkeypatch.setattr(RunRecord, "add_checkpoint", killed)
    assert command(*words).code == 143
    monkeypatch.setattr(RunRecord, "add_checkpoint", add_checkpoint)
    assert command(*words).code == 0
    folder, accumulator = events(tmp_path)
    for name in ("train/loss", "val/accuracy"):
        points = accumulator.Scalars(name)
        lines = folder.curve()
        assert [point.step for point in points] == [0, 3, 4, 6, 8, 9, 12]
        assert [line["step"] for line in lines] == [0, 3, 4, 6, 8, 9, 12]
        assert [p.value for p in points] == pytest.approx([line[name] for line in lines])
    assert [point.step for point in accumulator.Scalars("test/loss")] == [12]


def test_train_and_val_share_the_charts_that_come_first(command: Command, tmp_path: Path) -> None:
    """One chart is one tag, and each folder of events has a colour of its own."""
    command(*TINY)
    folder, _ = events(tmp_path)
    for split in ("train", "val"):
        accumulator = EventAccumulator(str(folder.path / split)).Reload()
        assert accumulator.Tags()["scalars"] == ["Curves/loss", "Curves/accuracy"]
        for metric in ("loss", "accuracy"):
            curve = [(point.step, point.value) for point in accumulator.Scalars(f"Curves/{metric}")]
            wanted = [(e["epoch"], e[f"{split}/{metric}"]) for e in folder.metrics()]
            assert curve == [(epoch, pytest.approx(value)) for epoch, value in wanted]
    command("resume=false", *TINY)  # the earlier curves are gone
    accumulator = EventAccumulator(str(folder.path / "val")).Reload()
    assert [point.step for point in accumulator.Scalars("Curves/loss")] == [0, 1, 2, 3]


def overview(folder: Path) -> dict[str, int]:
    """The settings that the HParams tab shows, with their types; and the metrics that it selects."""
    accumulator = EventAccumulator(str(folder)).Reload()
    found = session(accumulator, "_hparams_/experiment").experiment
    metrics = [info.name.tag for info in found.metric_infos]
    assert metrics == ["val/accuracy", "test/accuracy", "val/loss", "test/loss"]
    return {info.name: info.type for info in found.hparam_infos}


def test_hparams_shows_what_varies_in_any_sweep(command: Command, tmp_path: Path) -> None:
    number, text = api_pb2.DATA_TYPE_FLOAT64, api_pb2.DATA_TYPE_STRING
    assert (
        command("-m", "name=a", "optimizer=sgd,adam", "seed=0,1", *TINY[:2], "epochs=1").code == 0
    )
    swept = {"seed": number, "optimizer.name": text}
    # η is not the same with both, but was not swept: each has its own default.
    assert overview(tmp_path / "outputs" / "a") == overview(tmp_path / "outputs") == swept
    assert (
        command(
            "-m", "name=b", "loss=quadratic", "init.bias=zeros,normal", *TINY[:2], "epochs=1"
        ).code
        == 0
    )
    assert set(overview(tmp_path / "outputs" / "b")) == {"init.bias"}
    assert set(overview(tmp_path / "outputs")) == {*swept, "init.bias"}
    (tmp_path / "outputs" / "a" / NAME).write_bytes(b"\x10damaged")
    assert command("-m", "name=a", "seed=2,3", *TINY[:2], "epochs=1").code == 0
    assert overview(tmp_path / "outputs" / "a") == {"seed": number}
