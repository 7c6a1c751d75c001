; definitions and references of javascript
