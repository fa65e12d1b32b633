"""A shop after WebShop: goals, a generated catalogue, a ranked search, and pages that an agent searches, clicks and buys on."""
