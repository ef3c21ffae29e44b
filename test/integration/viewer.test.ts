import assert from 'node:assert/strict';
import path from 'node:path';
import type { Page } from 'playwright-core';
import { startBrowser, lookAt, type Browser } from '../support/browser.ts';
import { sendFiles } from '../support/sender.ts';
import { testPeers } from '../support/peers.ts';
import { realFiles, type RealFile } from '../support/realFiles.ts';
import { eventually, sharedPacs } from '../support/stack.ts';

/** The web viewer in a real browser, on real files: not that the page loads, but that the picture is on the screen. */
describe('viewer', function () {
  this.timeout(300_000);
  const peers = testPeers();
  const pacs = sharedPacs();
  let files: readonly RealFile[];
  let browser: Browser;
  let page: Page;
  const foreign: string[] = [];
  const viewerToken = async (): Promise<string> => (await pacs().clientOf(pacs().tenantId, [pacs().tenantId], ['viewer'])).token;

  before(async () => {
    files = await realFiles(peers().python);
    browser = await startBrowser(peers().chromium);
    page = await browser.context.newPage();
    page.on('request', (request) => {
      if (/^https?:/.test(request.url()) && !request.url().startsWith(pacs().stack.urls.api)) foreign.push(request.url());
    });
  });
  after(() => browser?.close());

  const cases = [
    { what: 'a CT', name: '693_UNCR.dcm', frames: 1 },
    { what: 'an MR in JPEG 2000', name: 'MR2_J2KR.dcm', frames: 1 },
    { what: 'a CR', name: 'RG1_UNCR.dcm', frames: 1 },
    { what: 'a multi-frame ultrasound in JPEG', name: 'color3d_jpeg_baseline.dcm', frames: 120 },
  ] as const;
  for (const { what, name, frames } of cases) {
    it(`shows ${what} from a link`, async () => {
      const file = files.find((each) => path.basename(each.file) === name && each.storable)!;
      const { api, tenantId, stack: { urls } } = pacs();
      const [sent] = await sendFiles(peers().python, urls.dicom, [file.file]);
      assert.equal(sent?.status, 0);
      await eventually('the study is found', async () => await api.findInstances(file.study) > 0);

      await page.goto(`${urls.api}/viewer/${tenantId}/viewer?StudyInstanceUIDs=${file.study}&SeriesInstanceUIDs=${file.series}#token=${await viewerToken()}`);
      const first = await eventually('the picture is on the screen', async () => {
        const picture = await pictureOf(page);
        const { lit, greys } = await lookAt(picture);
        return lit > 0.05 && greys > 40 && picture;
      }, 120_000);
      if (frames > 1) await eventually('the wheel brings another frame', async () => {
        await page.mouse.wheel(0, 120);
        return !first.equals(await pictureOf(page));
      });

      assert.ok(!page.url().includes('token'), 'the token stays out of the address');
    });
  }

  it('lists the studies, and asks for a token when the link brought none', async () => {
    const { tenantId, stack: { urls } } = pacs();
    const fresh = await browser.context.newPage();

    // Other tests' studies of this tenant fill the first page.
    await fresh.goto(`${urls.api}/viewer/${tenantId}/?mrn=9RG1`);
    await fresh.locator('#token').fill(await viewerToken());
    await fresh.getByRole('button', { name: 'Open' }).click();

    await fresh.getByText('9RG1').first().waitFor({ timeout: 60_000 });
    await fresh.close();
  });

  it('loads nothing from any other host', () => {
    assert.deepEqual(foreign, []);
  });
});

/** The middle of the viewport: no overlay text lies there. */
async function pictureOf(page: Page): Promise<Buffer> {
  const box = await page.locator('.viewport-element canvas, canvas.cornerstone-canvas').first().boundingBox();
  if (!box) throw new Error('there is no canvas yet');
  const clip = { x: box.x + box.width / 4, y: box.y + box.height / 4, width: box.width / 2, height: box.height / 2 };
  await page.mouse.move(clip.x + clip.width / 2, clip.y + clip.height / 2);
  return page.screenshot({ clip });
}
