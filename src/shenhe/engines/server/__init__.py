"""Any OpenAI-compatible server as an engine: vLLM, SGLang, LMDeploy, llama.cpp, ms-swift, ..."""

from shenhe.engines.server.engine import ServerEngine

__all__ = ["ServerEngine"]
