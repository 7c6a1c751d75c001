; definitions and references of rust
