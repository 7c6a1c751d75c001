; definitions and references of swift
