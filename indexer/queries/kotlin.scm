; definitions and references of kotlin
