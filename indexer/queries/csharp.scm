; definitions and references of csharp
