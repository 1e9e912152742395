"""The checkpoint on disk: files, adapters, and the prompt it was trained with."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from shenhe.checkpoints import find_adapter, find_checkpoint
from shenhe.checkpoints.adapter import adapter_kind, read_adapter
from shenhe.checkpoints.check import Finding, check_files
from shenhe.checkpoints.merge import HEAD
from shenhe.checkpoints.tensors import read_tables
from shenhe.checkpoints.trainer_args import TrainerArgs, read_trainer_args
from shenhe.doctor.subject import Subject


def files(subject: Subject) -> Iterator[Finding]:
    """Look at the checkpoint's files, and whether it is a merge older than its adapter."""
    yield from check_files(subject.spec.model, values=False)


def adapters(subject: Subject) -> Iterator[Finding]:
    """Look whether every adapter fits this base, changes anything, and was trained on it."""
    names = read_tables(find_checkpoint(subject.spec.model).weights).keys() | {f"{HEAD}.weight"}
    for adapter in subject.spec.adapters:
        if (kind := adapter_kind(find_adapter(adapter))) != "LoRA":
            yield Finding("ok", f"{adapter}: {kind}, which is looked at when it is loaded")
            continue
        found = read_adapter(find_adapter(adapter), names)
        outer = [
            stored
            for weights in found.modules.values()
            for part, stored in weights.items()
            if part.startswith(("lora_B", "lora_embedding_B"))
        ]
        whole = f", {len(found.replaced)} tensors held whole" if found.replaced else ""
        if not found.replaced and not any(bool(stored.read().any()) for stored in outer):
            told = f"{adapter}: all its weights are zero: the base answers"
            yield Finding("error", told, "use a checkpoint from after some training")
        else:
            yield Finding("ok", f"{adapter}: {len(found.modules)} modules{whole} fit the base")
        yield from _other_base(subject, adapter, found.config.base)


def prompt(subject: Subject) -> Iterator[Finding]:
    """Compare the system prompts with the one that args.json says was trained."""
    args = _trained(subject)
    if args is None:
        yield Finding("ok", "no args.json tells of the prompt that was trained with")
        return
    jobs = {"caption": subject.prompts.caption, "summary": subject.prompts.summary}
    jobs["verdict"] = subject.prompts.verdict
    same = [job for job, template in jobs.items() if template.system.strip() == args.system]
    if same:
        yield Finding("ok", f"the system prompt of {', '.join(same)} is that of {args.path}")
        return
    told = (
        f"{args.path}: trained with the system prompt {args.system[:60]!r}, which no job here has"
    )
    remedy = (
        "put it, and the user text of training, into a file for --prompts; chat uses it already"
    )
    yield Finding("warning", told, remedy)


def _trained(subject: Subject) -> TrainerArgs | None:
    for name in (*subject.spec.adapters, subject.spec.model):
        if found := read_trainer_args(Path(name)):
            return found
    return None


def _other_base(subject: Subject, adapter: str, recorded: str) -> Iterator[Finding]:
    """Warn where the adapter was trained on a base of another shape, or of another name."""
    if not recorded or Path(recorded).name == Path(subject.spec.model).name:
        return
    known = Path(recorded) / "config.json"
    ours = find_checkpoint(subject.spec.model).folder / "config.json"
    if known.is_file() and json.loads(known.read_bytes()) == json.loads(ours.read_bytes()):
        return
    told = f"{adapter}: records {recorded} as its base, not {subject.spec.model}"
    yield Finding("warning", told, "make sure that the two are the same weights")
