"""What is served over HTTP.

rules           what holds for all of it: names, origins, headers, sizes
connections     how many there are at once, and how long one may take
guard           who may ask Dagster's page, and what: an ASGI layer before it
dagster_ui      that page behind the guard: a process that `rag-assets up` starts
keys            who asks the search service: API keys from a file
logins          who has logged in on the page with a key
gate            which requests reach the search service: an ASGI layer before it
forms           what is asked of it and what it answers, as pydantic models
api             its routes
page/           the page: a query box, passages, the stories of documents
metrics         what it counts, for Prometheus
mcp_server      the index as tools for agents, over standard input and output and over HTTP
mcp_http        these at /mcp of the search service
search_service  the process that serves it
"""
