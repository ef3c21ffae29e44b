import assert from 'node:assert/strict';
import { MiB, partBytes, partsOf } from '../../../stores/s3/packUpload.ts';

describe('partsOf', () => {
  it('covers a file without gap or overlap, whatever its length', () => {
    for (const lengthBytes of [1, partBytes - 1, partBytes, partBytes + 1, 5 * partBytes, 300 * 1024 * MiB + 17]) {
      const parts = partsOf(lengthBytes);
      let next = 0;
      for (const part of parts) {
        assert.equal(part.offsetBytes, next);
        next += part.lengthBytes;
      }
      assert.equal(next, lengthBytes);
      assert.ok(parts.length <= 10_000);
    }
  });

  it('makes parts of 16 MiB as long as 10,000 of them suffice', () => {
    assert.equal(partsOf(partBytes * 10_000)[0]?.lengthBytes, partBytes);
    assert.ok((partsOf(partBytes * 10_000 + 1)[0]?.lengthBytes ?? 0) > partBytes);
  });
});
