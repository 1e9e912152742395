"""The API as people read it, in their language: what there is, an example of each, all refusals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from fastapi import APIRouter, Request, Response

from shenhe.service.pages import render, words_for
from shenhe.service.parts import service_of
from shenhe.service.refusal_pages import fill_refusals

router = APIRouter(include_in_schema=False)
FORM: Final = "-F mission=挡风板安装检查 -F group_id=QC-20230222-0000297"
CHAT: Final = '{"model": "NAME", "messages": [{"role": "user", "content": "..."}]}'
EXAMPLES: Final[Mapping[str, tuple[str, str]]] = {
    "POST /v1/groups": (
        "docs_submit",
        f"curl '{{url}}/v1/groups?wait=30' {FORM} -F photos=@1.jpg -F photos=@2.jpg",
    ),
    "GET /v1/groups": ("docs_list", "curl '{url}/v1/groups?state=done&limit=50'"),
    "GET /v1/groups/{job_id}": ("docs_show", "curl '{url}/v1/groups/ID?wait=30'"),
    "GET /v1/groups/{job_id}/events": ("docs_follow", "curl -N {url}/v1/groups/ID/events"),
    "GET /v1/events": ("docs_results", "curl -N '{url}/v1/events?after=0'"),
    "POST /v1/chat/completions": (
        "docs_chat",
        f"curl {{url}}/v1/chat/completions -H 'Content-Type: application/json' -d '{CHAT}'",
    ),
    "GET /v1/models": ("docs_models", "curl {url}/v1/models"),
    "GET /v1/models/{name}": ("docs_model", "curl {url}/v1/models/NAME"),
    "GET /healthz": ("docs_health", "curl {url}/healthz"),
    "GET /readyz": ("docs_ready", "curl {url}/readyz"),
    "GET /metrics": ("docs_metrics", "curl {url}/metrics"),
}
"""The word and the example of each operation."""


class Documented(NamedTuple):
    """An operation as the page shows it."""

    label: str
    sentence: str
    example: str
    parameters: tuple[str, ...]


def list_operations(request: Request) -> list[Documented]:
    """List the operations of the OpenAPI document, with their words and examples."""
    words = words_for(request)
    url = str(request.base_url).rstrip("/")
    operations = []
    for path, methods in request.app.openapi()["paths"].items():
        for method, operation in methods.items():
            label = f"{method.upper()} {path}"
            word, example = EXAMPLES[label]
            parameters = tuple(each["name"] for each in operation.get("parameters", ()))
            shown = example.replace("{url}", url)
            operations.append(Documented(label, words[word], shown, parameters))
    return operations


@router.get("/docs")
def show_docs(request: Request) -> Response:
    """Show the page."""
    refusals = dict(fill_refusals(words_for(request), service_of(request).limits))
    del refusals["other"]  # no code, but what stands for those without words
    return render(
        request,
        "docs.html",
        section="docs",
        operations=list_operations(request),
        refusals=sorted(refusals.items()),
    )
