// What a small application loads, the same for all contestants: a framework and its schemas.
import express from 'express'
import { z } from 'zod'

const quote = z.object({ sku: z.string(), quantity: z.int().positive() })

export const app = express().get('/', (req, res) => res.json(quote.parse(req.query)))
