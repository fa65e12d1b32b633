"""Page navigation after Mind2Web: generated pages, and tasks that are a choice among their elements at every step."""
