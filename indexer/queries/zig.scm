; definitions and references of zig
