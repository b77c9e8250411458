"""Networks under study, and what builds and verifies them."""
