"""The index in the frameworks of others; each module needs its framework and is imported by nobody here.

llama_index    a retriever and an embedding for LlamaIndex
"""
