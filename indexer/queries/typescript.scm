; definitions and references of typescript
