"""OpenAI's chat completions, and the list of models, which is of one."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from typing import Annotated, Final

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, Response

from shenhe.messages import Piece
from shenhe.messages import Request as ModelRequest
from shenhe.service.access import Caller, needs
from shenhe.service.chat.answers import ChatAnswer
from shenhe.service.chat.asked import AskedModel
from shenhe.service.chat.asking import conversation_of, make_request, receive_conversation
from shenhe.service.chat.protocol import ChatRequest, read_chat, request_schema
from shenhe.service.chat.served import BUSY_SECONDS, ChatModel
from shenhe.service.openapi import EVENTS, JSON, answers, refusals
from shenhe.service.parts import Service, service_of
from shenhe.service.receiving import declared_length, drain, receive_json
from shenhe.service.refusals import RefusedError
from shenhe.service.routes.events import EventStream

router = APIRouter(prefix="/v1", tags=["chat"])
DONE: Final = "data: [DONE]\n\n"
BODY: Final = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": request_schema()}},
    }
}


@router.get("/models", summary="The model that answers", responses=refusals())
def list_models(request: Request, caller: Annotated[Caller, needs("submit")]) -> dict[str, object]:
    """List the one model, by the name that requests give."""
    return {"object": "list", "data": [_model_of(service_of(request)).listed]}


@router.get("/models/{name:path}", summary="A model by its name", responses=refusals(404))
def show_model(
    request: Request, caller: Annotated[Caller, needs("submit")], name: str
) -> dict[str, object]:
    """Show the model of a name."""
    model = _model_of(service_of(request))
    model.check_name(name)
    return model.listed


@router.post(
    "/chat/completions",
    openapi_extra=BODY,
    summary="An answer of the model itself",
    response_class=JSONResponse,
    responses={
        200: answers("The answer, or its pieces", JSON, EVENTS),
        **refusals(404, 408, 413, 415, 422),
    },
)
async def complete_chat(request: Request, caller: Annotated[Caller, needs("submit")]) -> Response:
    """Answer a conversation as OpenAI's API does, at once or as a stream of events.

    Photos come as data: URLs, or from hosts that may be reached. All requests join the batch of the
    groups. An answer whose client goes away is given up.
    """
    try:
        return await _answer(request, service_of(request))
    except RefusedError as refusal:
        await drain(request)
        return JSONResponse(_error(refusal), refusal.status, refusal.headers)


async def _answer(request: Request, service: Service) -> Response:
    """Answer a request.

    Raises: RefusedError; RunError.
    """
    model = _model_of(service)
    async with AsyncExitStack() as stack:
        chat, asked_request = await _read_request(request, service, model, stack)
        hub = model.find_hub()
        shown = ChatAnswer(
            asked_request.key,
            int(time.time()),
            model.now.name,
            hub.fingerprint,
            has_logprobs=bool(chat.logprobs),
            keeps_special=chat.skip_special_tokens is False,
            usage=bool(chat.stream_options and chat.stream_options.include_usage),
        )
        asked = AskedModel(hub, asked_request)
        stack.callback(asked.leave)
        first = await asked.next_piece(request.is_disconnected)
        if first is None:  # the answer is there, or its failure, or the client is gone
            answer = asked.answer()
            if not chat.stream:
                return JSONResponse(shown.completion(answer))
        return EventStream(_events(asked, shown, first), stack.pop_all())


async def _read_request(
    request: Request, service: Service, model: ChatModel, stack: AsyncExitStack
) -> tuple[ChatRequest, ModelRequest]:
    """Receive a request; its photos are on disk until the stack closes.

    Raises: RefusedError; RunError.
    """
    limits = model.limits
    if model.find_hub().load.waiting >= limits.waiting:
        raise RefusedError(429, "busy", "too many requests wait for the model", BUSY_SECONDS)
    size = declared_length(request) or limits.body_bytes
    with model.room.taken(min(size, limits.body_bytes)):
        body = await receive_json(request, service.limits, limits.body_bytes)
        chat = await run_in_threadpool(read_chat, body)
        del body
        model.check_name(chat.model)
        conversation = await run_in_threadpool(conversation_of, chat)
        await run_in_threadpool(service.pressure.check_disk)
        inbox = service.submissions.inbox
        reception = await run_in_threadpool(inbox.receive, service.limits, is_durable=False)
        stack.callback(reception.close)
        messages = await receive_conversation(conversation, reception, service.fetcher)
    key = f"chatcmpl-{uuid.uuid4().hex}"
    made = await run_in_threadpool(make_request, chat, key, messages, model)
    await model.trials.check(made.grammar)
    return chat.without_content(), made


async def _events(asked: AskedModel, shown: ChatAnswer, piece: Piece | None) -> AsyncIterator[str]:
    yield _event(shown.first_chunk())
    while piece is not None:
        yield _event(shown.chunk(piece))
        piece = await asked.next_piece()
    try:
        for chunk in shown.last_chunks(asked.answer()):
            yield _event(chunk)
    except RefusedError as refusal:
        yield _event(_error(refusal))
    yield DONE


def _error(refusal: RefusedError) -> dict[str, object]:
    """Write a refusal as OpenAI does, with what ms-swift's client looks for beside it."""
    message = refusal.body["error"]["message"]
    return {"object": "error", "message": message, **refusal.body}


def _model_of(service: Service) -> ChatModel:
    if service.chat is None:
        raise RefusedError(503, "no_model", "this process has no model: ask one that has")
    return service.chat


def _event(content: Mapping[str, object]) -> str:
    return f"data: {json.dumps(content, ensure_ascii=False)}\n\n"
