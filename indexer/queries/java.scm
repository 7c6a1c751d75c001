; definitions and references of java
