"""The arithmetic of a merge without torch has torch's bits, in any parts and from any thread."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

from shenhe.checkpoints.floats import is_finite, narrow_any, narrow_planes, widen, widen_planes
from shenhe.checkpoints.gate import admit_adapters
from shenhe.checkpoints.inspect import find_adapter, find_checkpoint
from shenhe.checkpoints.lora import add_lora, adds_as_torch, as_planes, block_rows
from shenhe.checkpoints.merge import merge_adapters
from shenhe.checkpoints.merge_plan import MergePlan, plan_merge
from shenhe.checkpoints.merge_sources import tensor_sources
from shenhe.checkpoints.shards import SEGMENT_BYTES, ShardWriter
from shenhe.checkpoints.tensors import (
    BFLOAT16,
    FLOAT16,
    FLOAT32,
    FLOAT64,
    INTEGERS,
    Dtype,
    TensorSpec,
    read_table,
)
from shenhe.checkpoints.torch_tensors import torch_dtype
from shenhe.errors import AdapterError
from tests.checkpoints.small_adapters import BASE, FIRST, each, small_adapter

HIDDEN, INNER = (1024, 1152, 2048, 2560, 4096), (4304, 4608, 6144, 9728, 12288)
ODD = (80, 72)
"""No multiples of what processors add at once, with what is left over."""


def _random(*shape: int, seed: int = 1) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal(shape, np.float32) * np.float32(0.05)


@pytest.mark.parametrize("rank", [1, 3, 8, 16, 17, 64, 200])
def test_products_of_all_ranks_and_widths_have_torchs_bits(rank: int) -> None:
    count = 45
    for width in (*HIDDEN, *INNER, *ODD):
        lora_a, lora_b = _random(rank, width), _random(count, rank, seed=2)
        whole = torch.mm(torch.from_numpy(lora_b), torch.from_numpy(lora_a)).numpy()
        planes = as_planes(lora_a)
        for rows in (slice(0, 2), slice(2, 5), slice(5, 12), slice(12, count)):
            expected = whole[rows]
            if adds_as_torch(rank, width // 2, block_rows(width)):
                product = np.zeros((2, len(expected), width // 2), np.float32)
                add_lora(product, planes, lora_b[rows], 1.0, np.empty_like(product))
                assert np.array_equal(product, as_planes(expected)), (width, rows)
            plain = np.zeros(expected.shape, np.float32)
            add_lora(plain, lora_a, lora_b[rows], 1.0, np.empty_like(plain))
            assert np.array_equal(plain, expected), (width, rows)


@pytest.mark.parametrize("width", [2048, 4304, 6144])
def test_planes_of_as_many_rows_as_a_block_may_have_are_torchs(width: int) -> None:
    count = block_rows(width)
    lora_a, lora_b = _random(16, width), _random(count, 16, seed=2)
    whole = as_planes(torch.mm(torch.from_numpy(lora_b), torch.from_numpy(lora_a)).numpy())
    planes = as_planes(lora_a)
    for rows in range(2, count + 1):
        assert np.array_equal(lora_b[:rows] @ planes, whole[:, :rows]), rows


def test_a_sum_that_numpy_takes_in_another_order_is_torchs() -> None:
    rank, width = 3000, 96
    lora_a, lora_b = _random(rank, width), _random(70, rank, seed=2)
    whole = torch.mm(torch.from_numpy(lora_b), torch.from_numpy(lora_a))
    weight, buffer = np.zeros((70, width), np.float32), np.empty((70, width), np.float32)
    add_lora(weight, lora_a, lora_b, 0.3, buffer)
    assert torch.equal(torch.from_numpy(weight), whole.mul_(0.3))


EDGES = (
    *(0, 1, 0x80000000, 0x7F800000, 0xFF800000, 0x7F7FFFFF, 0x7F7F8000, 0x7F7F7FFF, 0x7FC00000),
    *(0x7FFFFFFF, 0xFFFFFFFF, 0x7F800001, 0x00007FFF, 0x00008000, 0x00018000, 0x3F808000),
    *(0x3F818000, 0x477FF000, 0x477FEFFF, 0x33000000, 0x33000001, 0x387FE000, 0x00800000),
)
"""Bits of float32: zeros, infinities, NaN, ties, what overflows, what is subnormal."""


@pytest.mark.parametrize("dtype", [BFLOAT16, FLOAT16, FLOAT32])
def test_numbers_are_rounded_and_read_as_torch_does(dtype: Dtype) -> None:
    bits = np.random.default_rng(3).integers(0, 1 << 32, 1 << 18, np.uint32)
    bits[: len(EDGES)] = EDGES
    expected = torch.from_numpy(bits.view(np.float32).copy()).to(torch_dtype(dtype))
    stored, spare = np.empty(len(bits), dtype.storage), np.empty(len(bits), np.float32)
    narrow_any(bits.view(np.float32), dtype, stored, spare)
    widen(stored, dtype, spare)
    rounded = torch.from_numpy(spare)
    torch.testing.assert_close(rounded, expected.float(), rtol=0, atol=0, equal_nan=True)
    sure = ~expected.isnan()  # a NaN's sign and bits differ from one processor to the next
    same = torch.from_numpy(stored.view(f"<i{dtype.itemsize}"))
    signed = {2: torch.int16, 4: torch.int32}[dtype.itemsize]
    assert torch.equal(same[sure], expected.view(signed)[sure])


@pytest.mark.parametrize("dtype", ["auto", "bfloat16", "float16", "float32"])
@pytest.mark.parametrize("stored", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_bases_of_all_precisions_are_merged_into_all(
    stored: torch.dtype, dtype: str, tmp_path: Path
) -> None:
    base = Path(shutil.copytree(BASE, tmp_path / "base"))
    adapter = small_adapter(tmp_path / "adapter", rank=8)
    path = base / "model.safetensors"
    save_file({name: value.to(stored) for name, value in load_file(path).items()}, path)
    each(lambda value: value.bfloat16(), "lora_A")(adapter)
    merge_adapters(str(base), [str(adapter)], tmp_path / "m", dtype=dtype)
    merged = load_file(tmp_path / "m" / path.name)
    factors = load_file(adapter / "adapter_model.safetensors")
    target = stored if dtype == "auto" else getattr(torch, dtype)
    for name, value in load_file(path).items():
        expected = value.to(target)
        key = f"base_model.model.{name.removesuffix('.weight')}.lora"
        if f"{key}_A.weight" in factors:
            lora_a, lora_b = factors[f"{key}_A.weight"].float(), factors[f"{key}_B.weight"]
            expected += torch.mm(lora_b, lora_a) * 2.0
        assert torch.equal(merged[name], expected), name


def test_planes_are_widened_and_rounded_as_torch_does() -> None:
    bits = np.random.default_rng(4).integers(0, 1 << 32, (2, 8, 1024), np.uint32)
    bits[:, 0, : len(EDGES)] = EDGES
    planes, flat = bits.view(np.float32), bits.reshape(2, -1)
    rows = torch.from_numpy(planes.transpose(1, 2, 0).reshape(8, 2048).copy())
    expected = rows.bfloat16().view(torch.int16).numpy()
    sure = ~rows.isnan().numpy()
    stored = np.empty((8, 2048), np.uint16)
    narrow_planes(flat.copy(), stored.view(np.uint32).reshape(-1), np.empty_like(flat))
    assert np.array_equal(stored.view(np.int16)[sure], expected[sure])
    widened = np.empty_like(bits)
    widen_planes(stored.view(np.uint32).reshape(-1), widened.reshape(2, -1))
    plain = np.empty((8, 2048), np.float32)
    widen(stored, BFLOAT16, plain)
    assert np.array_equal(widened, as_planes(plain).view(np.uint32))


@pytest.mark.parametrize("dtype", [BFLOAT16, FLOAT16, FLOAT32, FLOAT64])
@pytest.mark.parametrize("value", [np.nan, -np.nan, np.inf, -np.inf])
def test_one_number_that_is_not_finite_is_seen(dtype: Dtype, value: float) -> None:
    values = torch.full((64,), torch.finfo(torch_dtype(dtype)).max, dtype=torch_dtype(dtype))
    values[::2] *= -1
    signed = {2: torch.int16, 4: torch.int32, 8: torch.int64}[dtype.itemsize]
    assert is_finite(values.view(signed).numpy(), dtype)
    values[5] = value
    assert not is_finite(values.view(signed).numpy(), dtype)


def _plan(adapters: list[Path], *, add_up: bool, dtype: Dtype | None) -> MergePlan:
    base = find_checkpoint("demo")
    admitted = admit_adapters(base, [find_adapter(str(adapter)) for adapter in adapters])
    return plan_merge(base, admitted, dtype=dtype, add_up=add_up, max_shard_bytes=1 << 40)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("add_up", [False, True])
@pytest.mark.parametrize("dtype", [None, FLOAT32])
def test_parts_of_any_size_are_parts_of_the_whole(
    add_up: bool, dtype: Dtype | None, tmp_path: Path
) -> None:
    adapters = [small_adapter(tmp_path / f"a{rank}", rank) for rank in (4, 8)]
    plan = _plan(adapters, add_up=add_up, dtype=dtype)
    sources = tensor_sources(plan)
    specs = {tensor.name: tensor for tensor in plan.shards["model.safetensors"]}
    first = FIRST.removeprefix("base_model.model.")
    for name in (f"{first}.weight", "model.visual.merger.norm.weight"):
        nbytes = specs[name].nbytes
        whole = bytearray(nbytes)
        sources[name](0, memoryview(whole))
        for size in (1, 7, 997, nbytes - 1):
            for start in range(0, nbytes, max(size, nbytes // 5)):
                part = bytearray(min(size, nbytes - start))
                sources[name](start, memoryview(part))
                assert part == whole[start : start + size], (name, start, size)


def test_a_file_of_many_segments_holds_each_tensor_in_its_place(tmp_path: Path) -> None:
    sizes = {"odd": 5, "large": 2 * SEGMENT_BYTES + 3, "none": 0, "exact": SEGMENT_BYTES, "last": 9}
    contents = {
        name: np.random.default_rng(size).integers(0, 256, size, np.uint8).tobytes()
        for name, size in sizes.items()
    }
    (byte,) = (dtype for dtype in INTEGERS if dtype.name == "U8")
    planned = [TensorSpec(name, byte, (size,)) for name, size in sizes.items()]
    path = tmp_path / "model.safetensors"

    def source(name: str, offset: int, target: memoryview) -> None:
        target[:] = contents[name][offset : offset + len(target)]

    written: list[int] = []
    with ShardWriter(path, planned) as writer:
        writer.write({name: partial(source, name) for name in sizes}, written.append)
    assert sum(written) == sum(sizes.values())
    assert {name: value.numpy().tobytes() for name, value in load_file(path).items()} == contents
    assert list(read_table(path)) == list(sizes)


@pytest.mark.parametrize("dtype", ["auto", "float16"])
def test_a_result_beyond_its_precision_is_named(dtype: str, tmp_path: Path) -> None:
    adapter = small_adapter(tmp_path / "adapter")
    each(lambda value: value * (1e30 if dtype == "auto" else 1e4), "layers.1.")(adapter)
    with pytest.raises(AdapterError, match=r"layers\.1\.self_attn\.q_proj holds NaN or infinity"):
        merge_adapters("demo", [str(adapter)], tmp_path / "m", dtype=dtype)
    assert not (tmp_path / "m").exists()
