"""The page of the search service: HTML that the server renders, one script, no build step, nothing from elsewhere.

catalogue    its words, in each language
views        its routes
templates/   HTML (Jinja2, which escapes every value)
static/      the style sheet and the script
"""
