"""Talking to a checkpoint: the conversation, and the terminal that it is held in."""

from shenhe.chat.conversation import Conversation
from shenhe.chat.terminal import Terminal

__all__ = ["Conversation", "Terminal"]
