"""OpenAI's chat completions over the model of a service."""
