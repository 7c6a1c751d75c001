; definitions and references of haskell
