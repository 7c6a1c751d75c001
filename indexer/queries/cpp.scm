; definitions and references of cpp
