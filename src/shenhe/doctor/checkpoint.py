"""Checks of the checkpoint on disk: files, adapters, and the prompt of its training."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from shenhe.checkpoints.check import check_adapters, check_files
from shenhe.checkpoints.findings import Finding
from shenhe.checkpoints.inspect import find_checkpoint
from shenhe.checkpoints.processor import read_budget
from shenhe.checkpoints.trainer_args import TrainerArgs, read_trainer_args
from shenhe.doctor.subject import Subject
from shenhe.errors import spelled


def check_checkpoint(subject: Subject) -> Iterator[Finding]:
    """Check the checkpoint's files, and whether it is a merge older than its adapter."""
    yield from check_files(subject.spec.model, values=False, quantised=False)


def check_adapter_fit(subject: Subject) -> Iterator[Finding]:
    """Ask the gate whether the adapters fit this base, change anything, and were trained on it."""
    yield from check_adapters(subject.spec.model, subject.spec.adapters)


def check_prompt(subject: Subject) -> Iterator[Finding]:
    """Compare the system prompts and the size of photos with those that args.json records."""
    args = _find_trainer_args(subject)
    if args is None:
        yield Finding("ok", "no args.json tells of the prompt that was trained with")
        return
    yield from _compare_pixels(subject, args)
    jobs = {"caption": subject.prompts.caption, "summary": subject.prompts.summary}
    jobs["verdict"] = subject.prompts.verdict
    matches = [job for job, template in jobs.items() if template.system.strip() == args.system]
    if matches:
        yield Finding("ok", f"the system prompt of {', '.join(matches)} is that of {args.path}")
        return
    message = (
        f"{args.path}: trained with the system prompt {args.system[:60]!r}, which no job here has"
    )
    remedy = (
        f"put it, and the user text of training, into a file for {spelled('prompts')};"
        " chat uses it already"
    )
    yield Finding("warning", message, remedy)


def _compare_pixels(subject: Subject, args: TrainerArgs) -> Iterator[Finding]:
    """Warn of photos that the model sees in another size than in training."""
    if args.max_pixels is None:
        return
    largest = subject.spec.max_pixels or read_budget(find_checkpoint(subject.spec.model)).max_pixels
    if largest != args.max_pixels:
        message = (
            f"{args.path}: trained on photos of up to {args.max_pixels:,} pixels, here they have up"
            f" to {largest:,}: small things look otherwise"
        )
        yield Finding("warning", message, spelled("max_pixels", args.max_pixels))


def _find_trainer_args(subject: Subject) -> TrainerArgs | None:
    for name in (*subject.spec.adapters, subject.spec.model):
        if args := read_trainer_args(Path(name)):
            return args
    return None
