/** dcmjs ships no types; what is declared here is what this project uses of it. */
declare module 'dcmjs' {
  interface DictionaryEntry {
    readonly tag: string;
    readonly name: string;
    readonly vr: string;
    readonly vm: string;
  }

  const dcmjs: {
    readonly data: {
      readonly DicomMetaDictionary: { readonly nameMap: Readonly<Record<string, DictionaryEntry>> };
    };
  };
  export default dcmjs;
}
