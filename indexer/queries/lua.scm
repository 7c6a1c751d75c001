; definitions and references of lua
