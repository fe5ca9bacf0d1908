export declare function panelsOf(page: string, scenario: string): string;
