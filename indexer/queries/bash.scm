; definitions and references of bash
