"""The pages of the reference: one module a page, a function that returns its Markdown."""
