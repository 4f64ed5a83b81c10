"""The encoders refuse what their instructions cannot say; distances lead where the labels are."""

import struct

import pytest

from dockersched.sandbox.docker.gate.aarch64 import Aarch64
from dockersched.sandbox.docker.gate.assembly import Encoder, Label, Register, assemble
from dockersched.sandbox.docker.gate.program import program
from dockersched.sandbox.docker.gate.x86_64 import X8664


@pytest.mark.parametrize("encoder", [X8664(), Aarch64()])
def test_a_number_that_does_not_fit_is_refused(encoder: Encoder) -> None:
    with pytest.raises((ValueError, struct.error)):
        encoder.add(Register.SLOT, 5000)
    with pytest.raises((ValueError, struct.error)):
        encoder.compare(Register.SLOT, 5000)
    with pytest.raises((ValueError, struct.error)):
        encoder.load(Register.SLOT, Register.STACK, 256)
    with pytest.raises((ValueError, struct.error)):
        encoder.set(Register.SLOT, 2**40)


@pytest.mark.parametrize("encoder", [X8664(), Aarch64()])
def test_a_label_that_is_nowhere_is_refused(encoder: Encoder) -> None:
    with pytest.raises(KeyError, match="nowhere"):
        assemble([encoder.jump("nowhere")])


def test_a_label_is_found_before_and_behind() -> None:
    code = assemble([Label("start"), X8664().jump("end"), X8664().jump("start"), Label("end")])
    assert code == bytes.fromhex("e905000000e9f6ffffff")
    code = assemble([Label("start"), Aarch64().jump("end"), Aarch64().jump_if_equal("start"), Label("end")])
    assert code == struct.pack("<II", 0x14000002, 0x54FFFFE0)


def test_there_is_none_for_other_architectures() -> None:
    with pytest.raises(KeyError, match="riscv64"):
        program("riscv64")
