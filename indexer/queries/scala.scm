; definitions and references of scala
