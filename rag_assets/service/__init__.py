"""What is served over HTTP.

guard        who may ask a page of ours, and what: an ASGI layer before any application
dagster_ui   Dagster's web page behind that guard: the process that `rag-assets up` starts
"""
