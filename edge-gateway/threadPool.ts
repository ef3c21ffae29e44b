/**
 * Imported first: files are written by libuv's thread pool, whose default of four threads a few associations would
 * fill with one sync each. Takes effect only before the pool is first used.
 */
process.env['UV_THREADPOOL_SIZE'] ??= '24';
