"""Adapters of other libraries, each in a module that needs that library: embedanything (embed-anything),
langchain (langchain-core) and llamaindex (llama-index-core)."""
