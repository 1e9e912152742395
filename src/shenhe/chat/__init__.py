"""Chat with a checkpoint: the conversation and its terminal."""

from shenhe.chat.conversation import Conversation
from shenhe.chat.terminal import Terminal

__all__ = ["Conversation", "Terminal"]
