// What the shop sells. The prices and the stock are where the ledger starts; the names never change.

export const catalog = [
  { sku: 'mug', name: 'Stoneware mug', cents: 1450, stock: 60 },
  { sku: 'teapot', name: 'Cast-iron teapot', cents: 5900, stock: 12 },
  { sku: 'kettle', name: 'Gooseneck kettle', cents: 7900, stock: 8 },
  { sku: 'sencha', name: 'Sencha, 100 g', cents: 1190, stock: 200 },
  { sku: 'whisk', name: 'Bamboo whisk', cents: 1690, stock: 3 },
]
