; definitions and references of c
