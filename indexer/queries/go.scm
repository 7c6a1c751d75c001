; definitions and references of go
