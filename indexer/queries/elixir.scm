; definitions and references of elixir
