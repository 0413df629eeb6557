if (process.argv[2] === 'app') await import('./app.js')
process.send('ready')
