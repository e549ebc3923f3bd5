"""A parsed text is cut into chunks: `chunker` comes first, the rest is in the order in which it calls them.

`structure`: the text's blocks (paragraphs, lists, tables, code), each under its headings.
`pieces`: blocks cut further, at the places of `boundaries`, until each piece fits; `tokens` counts.
`packing`: which neighbours are put together into one chunk; `semantic` changes the price of a cut by topic.
"""
