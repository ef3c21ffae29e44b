import assert from 'node:assert/strict';
import { dictionary } from '../../../dicom/dictionary.ts';
import { isPrivateCreatorTag, isPrivateTag, keywordOfTag, parseAttributeId, tagOf, tagOfKeyword, vmOfTag, vrOfTag } from '../../../dicom/tags.ts';
import { dictionaryRows } from '../../../infra/generate-dictionary.ts';

describe('the data dictionary', () => {
  it('is what infra/generate-dictionary.ts makes of dcmjs', () => {
    assert.deepEqual(dictionary, dictionaryRows());
  });

  it('has every tag and every keyword once', () => {
    assert.equal(new Set(dictionary.map(([tag]) => tag)).size, dictionary.length);
    assert.equal(new Set(dictionary.map(([, keyword]) => keyword)).size, dictionary.length);
  });

  it('leads from keyword to tag, VR and VM and back', () => {
    for (const [tag, keyword, , vm] of dictionary) {
      assert.equal(tagOfKeyword(keyword), tag);
      assert.equal(keywordOfTag(tag), keyword);
      assert.equal(vmOfTag(tag), vm);
    }
    assert.equal(vrOfTag(tagOf('PatientName')), 'PN');
    assert.throws(() => tagOf('NoSuchKeyword'));
  });

  it('finds repeating groups under their first', () => {
    assert.equal(keywordOfTag('60020010'), 'OverlayRows');
    assert.equal(vrOfTag('60FE3000'), 'OW');
    assert.equal(keywordOfTag('60030010'), undefined);
  });

  it('knows the VR of group lengths and private creators, and of no other private attribute', () => {
    assert.equal(vrOfTag('00080000'), 'UL');
    assert.equal(vrOfTag('00090010'), 'LO');
    assert.equal(vrOfTag('00091001'), undefined);
    assert.ok(isPrivateTag('00091001') && !isPrivateTag('00100010'));
    assert.ok(isPrivateCreatorTag('000900FF') && !isPrivateCreatorTag('00090100') && !isPrivateCreatorTag('00090001'));
  });
});

describe('parseAttributeId', () => {
  it('reads tags, keywords, private tags and paths', () => {
    assert.deepEqual(parseAttributeId('0020000d'), ['0020000D']);
    assert.deepEqual(parseAttributeId('StudyInstanceUID'), ['0020000D']);
    assert.deepEqual(parseAttributeId('00091001'), ['00091001']);
    assert.deepEqual(parseAttributeId('00400275.00400009'), ['00400275', '00400009']);
    assert.deepEqual(parseAttributeId('RequestAttributesSequence.00400009'), ['00400275', '00400009']);
  });

  it('gives nothing for what names no attribute', () => {
    for (const id of ['', '.', '0020000', '0020000D0', 'studyInstanceUID', '00400275.', '__proto__', 'constructor', Array(40).fill('00400275').join('.')]) {
      assert.equal(parseAttributeId(id), undefined, id);
    }
  });
});
