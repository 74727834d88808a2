"""Where the panel lives. There is no GPU here: what it would be asked, and what is decided."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest
import torch

from hybrid_trainer.data.placement import place
from hybrid_trainer.data.windows import PanelTensors, WindowLoader
from hybrid_trainer.errors import ConfigError

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
MIB = 2**20
PANEL = PanelTensors(
    features=torch.zeros(MIB // 8, 2),  # 1 MiB
    context=None,
    ids=torch.zeros(MIB // 8, 1, dtype=torch.int64),  # 1 MiB
    targets={"a": torch.zeros(MIB // 4, 1)},  # 1 MiB
    mask={"a": torch.zeros(MIB // 8)},  # 0.5 MiB
    weight={"a": torch.zeros(MIB // 8)},  # 0.5 MiB
)


@pytest.fixture
def moved(monkeypatch: pytest.MonkeyPatch) -> list[torch.device]:
    """The devices that a panel was moved to."""
    devices: list[torch.device] = []

    def to(self: PanelTensors, device: torch.device) -> PanelTensors:
        devices.append(device)
        return self

    monkeypatch.setattr(PanelTensors, "to", to)
    return devices


def free(monkeypatch: pytest.MonkeyPatch, mib: int) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (mib * MIB, 100 * MIB))


def test_all_that_batches_are_gathered_from_is_counted() -> None:
    assert PANEL.bytes() == 4 * MIB


@pytest.mark.parametrize(
    ("where", "mib", "there"),
    [
        ("auto", 9, True),
        ("auto", 8, False),  # less than half, not half
        ("auto", 1, False),
        ("device", 4, True),
        ("host", 90, False),
    ],
)
def test_a_panel_goes_to_the_gpu_where_it_fits(
    monkeypatch: pytest.MonkeyPatch, moved: list[torch.device], where: str, mib: int, there: bool
) -> None:
    free(monkeypatch, mib)
    assert place(PANEL, CUDA, where) is PANEL
    assert moved == ([CUDA] if there else [])


@pytest.mark.parametrize("where", ["auto", "device", "host"])
def test_on_a_cpu_all_places_are_the_same_memory(where: str) -> None:
    assert place(PANEL, CPU, where).features.data_ptr() == PANEL.features.data_ptr()


@pytest.mark.parametrize("where", ["auto", "host"])
def test_maps_of_files_stay_where_they_are(
    monkeypatch: pytest.MonkeyPatch, moved: list[torch.device], where: str
) -> None:
    free(monkeypatch, 90)
    mapped = replace(PANEL, mapped=True)
    assert place(mapped, CUDA, where) is mapped and moved == []


def test_what_does_not_fit_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    free(monkeypatch, 3)
    message = r"^training\.data_device: the panel takes 4 MiB, but only 3 MiB are free on the GPU; set .*=auto or host$"
    with pytest.raises(ConfigError, match=message):
        place(PANEL, CUDA, "device")
    with pytest.raises(
        ConfigError, match=r"^training\.data_device: the panel \(4 MiB\) is kept in files; raise data\.in_m"
    ):
        place(replace(PANEL, mapped=True), CUDA, "device")


def test_a_panel_that_auto_leaves_on_the_host_is_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    free(monkeypatch, 6)
    with caplog.at_level(logging.INFO):
        place(PANEL, CUDA, "auto")
    assert "the panel takes 4 MiB, more than half of the 6 MiB free" in caplog.text


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
@pytest.mark.gpu
def test_on_a_gpu_batches_are_the_same_from_both_places() -> None:
    generator = torch.Generator().manual_seed(0)
    panel = replace(PANEL, features=torch.randn(MIB // 8, 2, generator=generator))
    rows = torch.arange(10, 500)
    from_device, from_host = (
        WindowLoader(
            place(panel, CUDA, where),
            rows,
            time_window=5,
            batch_size=64,
            shuffle_seed=1,
            device=CUDA,
            workers=2 if where == "host" else 0,
        )
        for where in ("device", "host")
    )
    for ours, theirs in zip(from_host, from_device, strict=True):
        assert ours.x.device.type == "cuda"
        assert torch.equal(ours.x, theirs.x) and torch.equal(ours.row, theirs.row)
