; definitions and references of tsx
