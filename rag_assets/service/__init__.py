"""What is served over HTTP: the search service, and Dagster's page.

For both: `addresses` (where), `rules` (names, origins, headers, sizes), `connections` (how many, and how long).
Dagster's page: `guard` (who may ask what of it), `dagster_ui` (its process).
The search service: `gate` (which requests reach it), `keys` and `logins` (who asks), `search_service` (its process).
Its answers: `api`, by `forms`, of which `openapi` is made; `metrics`; `page` (HTML).
Tools for agents: `mcp_server`, and over HTTP `mcp_http`.
"""
