/**
 * What OHIF is told at its start, in the browser. The tenant is the path's second part (/viewer/<tenantId>/…). The user's token comes
 * in the fragment of the link and is kept for as long as the tab is open.
 */
(() => {
  const [, , tenantId] = location.pathname.split('/');
  const place = `pacs-token-${tenantId}`;
  const given = new URLSearchParams(location.hash.slice(1)).get('token');
  if (given) {
    sessionStorage.setItem(place, given);
    history.replaceState(null, '', location.pathname + location.search);
  }
  const signIn = () => location.replace(`/viewer/sign-in#to=${encodeURIComponent(location.pathname + location.search)}`);
  if (!sessionStorage.getItem(place)) return signIn();

  const dicomWeb = `${location.origin}/tenants/${tenantId}/dicom-web`;
  window.config = {
    name: 'pacs',
    routerBasename: `/viewer/${tenantId}`,
    showStudyList: true,
    maxNumberOfWebWorkers: Math.min(3, Math.max(1, navigator.hardwareConcurrency - 1)),
    showLoadingIndicator: true,
    showCPUFallbackMessage: false,
    strictZSpacingForVolumeViewport: true,
    groupEnabledModesFirst: true,
    investigationalUseDialog: { option: 'never' },
    maxNumRequests: { interaction: 20, thumbnail: 5, prefetch: 10 },
    extensions: [{
      id: 'pacs-token',
      preRegistration: ({ servicesManager }) => servicesManager.services.userAuthenticationService.setServiceImplementation({
        getAuthorizationHeader: () => ({ Authorization: `Bearer ${sessionStorage.getItem(place) ?? ''}` }),
      }),
    }],
    modes: [],
    // The tour of the tools that covers the first image of a new user.
    customizationService: [{ 'ohif.tours': { $set: [] } }],
    defaultDataSourceName: 'pacs',
    dataSources: [{
      namespace: '@ohif/extension-default.dataSourcesModule.dicomweb',
      sourceName: 'pacs',
      configuration: {
        friendlyName: `Archive of ${tenantId}`, name: 'pacs',
        qidoRoot: dicomWeb, wadoRoot: dicomWeb, wadoUriRoot: `${location.origin}/tenants/${tenantId}/wado`,
        qidoSupportsIncludeField: true, supportsReject: false, supportsStow: false, dicomUploadEnabled: false,
        imageRendering: 'wadors', thumbnailRendering: 'wadors', enableStudyLazyLoad: true,
        supportsFuzzyMatching: true, supportsWildcard: true, staticWado: false, singlepart: 'bulkdata,pdf,video',
        bulkDataURI: { enabled: true }, omitQuotationForMultipartRequest: false,
      },
    }],
    httpErrorHandler: ({ status }) => {
      if (status !== 401) return;
      sessionStorage.removeItem(place);
      signIn();
    },
  };
})();
