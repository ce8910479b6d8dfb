"""What a record says about the machine that it was made on."""

import platform
from pathlib import Path

import pytest
import torch

from fedbench.environment import describe, device_class

CPU = torch.device("cpu")


@pytest.fixture
def cpuinfo(monkeypatch):
    """Replace what Linux says about the processor; None is a system that says nothing."""

    genuine = Path.read_text

    def say(text):
        def read(path, **options):
            if path != Path("/proc/cpuinfo"):
                return genuine(path, **options)
            if text is None:
                raise FileNotFoundError(path)
            return text

        monkeypatch.setattr(Path, "read_text", read)

    return say


@pytest.fixture
def capability(monkeypatch):
    """Set the instruction set that torch computes with."""

    def use(name):
        monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: name)

    use("AVX2")
    return use


def test_a_processors_class_is_its_vendor_and_the_instruction_set_in_use(cpuinfo, capability):
    cpuinfo("processor\t: 0\nvendor_id\t: AuthenticAMD\nmodel name\t: AMD EPYC\n")
    assert device_class(CPU) == "AuthenticAMD AVX2"
    capability("AVX512")
    assert device_class(CPU) == "AuthenticAMD AVX512"


def test_a_processor_that_names_no_vendor_is_classed_by_its_implementer_or_architecture(cpuinfo, capability):
    cpuinfo("processor\t: 0\nCPU implementer\t: 0x41\n")
    assert device_class(CPU) == "0x41 AVX2"
    cpuinfo(None)
    assert device_class(CPU) == f"{platform.machine()} AVX2"


def test_an_accelerators_class_is_its_model_and_compute_capability(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA H100 80GB HBM3")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    assert device_class(torch.device("cuda")) == "NVIDIA H100 80GB HBM3 sm_90"


def test_the_processors_model_is_still_described(cpuinfo):
    cpuinfo("vendor_id\t: AuthenticAMD\nmodel name\t: AMD EPYC 7763\n")
    assert describe()["processor"] == "AMD EPYC 7763"
